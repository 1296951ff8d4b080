//! Scripts, and what they cannot do.
