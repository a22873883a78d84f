//! TLS on the gRPC port: our own CA and certificate or given ones, kept fresh, and connections that shook hands.
//!
//! ```text
//! Secret, state folder or memory ─> Held ─> plan::step ─> written back, published
//!                                    └─> serving certificate ─> ServerConfig ─> accept ─> connections
//! ```

mod accept;
mod authority;
mod held;
mod keeper;
mod names;
mod plan;
mod server;
mod store;

pub(crate) use self::{
    accept::{Connection, accept},
    keeper::Keeper,
    server::Shown,
    store::Store,
};
