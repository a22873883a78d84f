//! What all files mean together.
