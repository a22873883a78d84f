//! Compiles the protocol without protoc, and keeps its descriptors for gRPC reflection.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    let protos = [
        "meshlite/discovery/v1/discovery.proto",
        "meshlite/discovery/v1/resources.proto",
    ];
    for proto in protos {
        println!("cargo:rerun-if-changed={proto}");
    }
    let descriptors = protox::compile(protos, ["."])?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    fs::write(
        out.join("meshlite_descriptor.bin"),
        descriptors.encode_to_vec(),
    )?;
    tonic_prost_build::configure()
        .bytes(".")
        // They may hold private keys and passwords.
        .skip_debug([
            "meshlite.discovery.v1.TlsSecret",
            "meshlite.discovery.v1.Credential",
            "meshlite.discovery.v1.UpstreamIdentity",
            "meshlite.discovery.v1.ResourceFrame",
            "meshlite.discovery.v1.ResourceChunk",
        ])
        .compile_fds(descriptors)?;
    Ok(())
}
