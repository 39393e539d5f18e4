//! Keys and sealed cells: no plaintext identity at rest.
