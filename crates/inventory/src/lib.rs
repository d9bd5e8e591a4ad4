//! Stock levels: reserve and release.
