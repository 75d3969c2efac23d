//! Writing a release to the passive slot.
