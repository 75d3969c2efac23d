//! Services announce where they are, for as long as they run.
