//! The CAs that there are, the keys of those that sign, and how a step changes them.

use std::time::SystemTime;

use pem::{EncodeConfig, LineEnding, Pem, encode_config};
use rustls_pki_types::{CertificateDer, pem::PemObject};

use super::{
    authority::{Authority, AuthorityError, Key},
    plan::{Situation, Step},
};

/// The most CAs that are read from a store.
const MOST: usize = 16;

/// What a store holds. The replicas that share the store share this.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    /// Every CA that clients should trust, the newest last.
    pub(super) authorities: Vec<Authority>,
    /// The key that signs.
    pub(super) key: Option<Key>,
    /// The key that will sign.
    pub(super) next: Option<Key>,
}

impl Held {
    /// Reads what a store holds: certificates and keys in PEM.
    pub(super) fn read(
        certificates: &[u8],
        key: Option<&str>,
        next: Option<&str>,
    ) -> Result<Self, AuthorityError> {
        let authorities = certificates_of(certificates)?;
        let authorities: Vec<_> = authorities
            .into_iter()
            .take(MOST)
            .map(Authority::read)
            .collect::<Result<_, _>>()?;
        let known = |pem: &str| -> Result<Option<Key>, AuthorityError> {
            let key = Key::read(pem)?;
            // A key whose certificate was not written any more is none.
            let is_known = authorities.iter().any(|authority| key.is_of(authority));
            Ok(is_known.then_some(key))
        };
        let key = key.map(known).transpose()?.flatten();
        let next = next.map(known).transpose()?.flatten();
        Ok(Self {
            authorities,
            key,
            next,
        })
    }

    /// The CA that signs, and its key.
    pub(super) fn signer(&self) -> Option<(&Authority, &Key)> {
        let key = self.key.as_ref()?;
        let authority = self.authorities.iter().find(|a| key.is_of(a))?;
        Some((authority, key))
    }

    fn waiting(&self) -> Option<&Authority> {
        let next = self.next.as_ref()?;
        let waiting = self.authorities.iter().find(|a| next.is_of(a))?;
        // Where a promotion was cut off, it signs already.
        let signs = self.key.as_ref().is_some_and(|key| key.is_of(waiting));
        (!signs).then_some(waiting)
    }

    /// What clients should trust, in PEM.
    pub(super) fn bundle(&self, now: SystemTime) -> String {
        let valid = self.authorities.iter().filter(|a| !a.lifetime.is_over(now));
        pem_of(valid.map(|authority| &authority.der))
    }

    /// What the plan needs to know, with the bundle that clients see.
    pub(super) fn situation(&self, published: &str, now: SystemTime) -> Situation {
        let seen = certificates_of(published.as_bytes()).unwrap_or_default();
        let next = |next: &Authority| (next.lifetime, seen.contains(&next.der));
        Situation {
            signer: self.signer().map(|(authority, _)| authority.lifetime),
            next: self.waiting().map(next),
            bundle_is_right: published == self.bundle(now),
        }
    }

    /// What there is after this step.
    pub(super) fn after(&self, step: Step, now: SystemTime) -> Result<Self, AuthorityError> {
        let mut after = self.clone();
        let waiting = self.waiting().cloned();
        after
            .authorities
            .retain(|authority| !authority.lifetime.is_over(now));
        match step {
            Step::Begin => {
                let (authority, key) = Authority::new(now)?;
                after.authorities.push(authority);
                after.key = Some(key);
                after.next = None;
            }
            Step::Announce => {
                let (authority, key) = Authority::new(now)?;
                after
                    .authorities
                    .retain(|known| Some(known) != waiting.as_ref());
                after.authorities.push(authority);
                after.next = Some(key);
            }
            Step::Promote => {
                after.key = after.next.take();
            }
            Step::Publish | Step::Wait => {}
        }
        Ok(after)
    }
}

fn certificates_of(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, AuthorityError> {
    CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|_broken| AuthorityError::Read("it is no PEM"))
}

/// Certificates as PEM.
#[expect(single_use_lifetimes, reason = "impl Trait cannot elide it")]
pub(super) fn pem_of<'a>(
    certificates: impl IntoIterator<Item = &'a CertificateDer<'static>>,
) -> String {
    let lines = EncodeConfig::new().set_line_ending(LineEnding::LF);
    let text =
        |der: &CertificateDer<'_>| encode_config(&Pem::new("CERTIFICATE", der.to_vec()), lines);
    certificates.into_iter().map(text).collect()
}
