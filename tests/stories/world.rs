//! What the world does to an agent: it dies at the same place, its API server comes back older, its disk is full, its
//! rights and credentials go and come. Each has clusters of its own.

pub mod crashes;
