//! Attribute macros of runnel.
