//! A YAML 1.2 (or JSON) file as a tree that remembers line and column.
