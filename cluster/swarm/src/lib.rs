//! A Docker Swarm that forms itself over the cluster store.
