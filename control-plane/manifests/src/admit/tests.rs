//! Whole folders through admission.
