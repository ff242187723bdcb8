//! Packs, checks and inspects images.
