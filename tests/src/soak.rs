//! How long a test goes on: `make test` is quick, `make soak` is thorough.

/// The first number in `make test`, the second where `MESHLITE_SOAK` is set.
pub fn soaked<T>(quick: T, soak: T) -> T {
    if std::env::var_os("MESHLITE_SOAK").is_some() {
        soak
    } else {
        quick
    }
}
