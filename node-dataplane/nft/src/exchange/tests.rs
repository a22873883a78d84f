//! A kernel of the test's own making.
