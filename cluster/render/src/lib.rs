//! Configuration files that follow keys of the cluster store.
