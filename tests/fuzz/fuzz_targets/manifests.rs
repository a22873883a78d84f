//! Any bytes as a manifest file: never a panic, and every finding names its file.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    let file = meshlite_manifests::parse("fuzz.yaml", text);
    for finding in &file.findings {
        assert!(finding.source.as_ref().is_some_and(|source| source.file == "fuzz.yaml"));
    }
});
