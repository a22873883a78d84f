//! Bytes to objects, one behaviour at a time.
