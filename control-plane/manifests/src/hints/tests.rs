//! What each hint says.
