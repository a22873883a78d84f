//! The messages and services of `meshlite.discovery.v1`, generated from `proto/meshlite/discovery/v1`.
#![expect(
    missing_docs,
    unused_qualifications,
    clippy::pedantic,
    clippy::large_enum_variant,
    clippy::enum_variant_names,
    clippy::clone_on_ref_ptr,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]

tonic::include_proto!("meshlite.discovery.v1");

/// Descriptors of every message and service, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("meshlite_descriptor");

impl std::fmt::Debug for TlsSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsSecret")
            .field("certificates", &self.certificate_chain.len())
            .field("bindings", &self.bindings)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential")
            .field("authorities", &self.authorities.len())
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for UpstreamIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamIdentity")
            .field("certificates", &self.certificate_chain.len())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ResourceFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResourceFrame")
            .field("type", &self.r#type)
            .field("scope", &self.scope)
            .field("name", &self.name)
            .field("version", &self.version)
            .field("removed", &self.removed)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ResourceChunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResourceChunk")
            .field("bytes", &self.data.len())
            .finish_non_exhaustive()
    }
}
