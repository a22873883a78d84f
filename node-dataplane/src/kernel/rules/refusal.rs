//! What the kernel's refusals mean for those who asked.

use meshlite_nft::Error;

use crate::kernel::KernelError;

/// What to do about it.
pub(crate) fn kernel_error(error: &Error) -> KernelError {
    let text = format!("nftables: {error}");
    match error {
        Error::Conflict
        | Error::NotThere(_)
        | Error::Exists(_)
        | Error::InUse(_)
        | Error::Lost
        | Error::Malformed(_)
        | Error::Socket(_) => KernelError::Resync(text),
        Error::Busy(_) | Error::Interrupted(_) | Error::Full(_) | Error::NoPermission(_) => {
            KernelError::Retry(text)
        }
        Error::Invalid(_) | Error::NotSupported(_) | Error::TooLarge | Error::Refused(_) => {
            KernelError::Unsupported(text)
        }
    }
}
