//! Any bytes as a datagram of the kernel about nftables.
#![no_main]

libfuzzer_sys::fuzz_target!(|datagram: &[u8]| meshlite_fuzz::nft(datagram));
