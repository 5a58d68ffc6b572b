//! Model checks of the pure protocol files, with loom.
