//! Partitions of the passive slot.
