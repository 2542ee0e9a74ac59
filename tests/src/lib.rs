//! What no single package can check by itself: the house's own rules ([`tidy`]), and the real binaries from outside.

pub mod tidy;
