//! Against real TLS and plaintext servers on loopback: what connects, and what is said where it does not.
