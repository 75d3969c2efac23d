//! From a checked document to a deterministic list of effects.
