//! Flags of requests, under their names in the kernel's header.

/// It is a request.
pub const NLM_F_REQUEST: u16 = 0x01;
/// Success is to be answered too.
pub const NLM_F_ACK: u16 = 0x04;
/// Of a question: all of them (`NLM_F_ROOT | NLM_F_MATCH`).
pub const NLM_F_DUMP: u16 = 0x300;
/// Of a change: what is there is replaced.
pub const NLM_F_REPLACE: u16 = 0x100;
/// Of a change: not if it is there.
pub const NLM_F_EXCL: u16 = 0x200;
/// Of a change: made where it is not there.
pub const NLM_F_CREATE: u16 = 0x400;
/// Of a change: put at the end of the list.
pub const NLM_F_APPEND: u16 = 0x800;
