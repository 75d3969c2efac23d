//! YAML with the place of every node: raw scalars, budgets, no guessing of types.
