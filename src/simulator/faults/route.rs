//! Patterns over request paths.

/// Which paths a fault or a change belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::simulator) struct Route(String);

impl Route {
    /// A full path if it begins with a slash, with `*` for one segment; else a part of a path.
    pub(in crate::simulator) fn new(pattern: &str) -> Self {
        Self(pattern.to_string())
    }

    /// Every path.
    pub(in crate::simulator) fn any() -> Self {
        Self(String::new())
    }

    pub(in crate::simulator) fn matches(&self, path: &str) -> bool {
        if !self.0.starts_with('/') {
            return path.contains(&self.0);
        }
        let mut segments = path.trim_end_matches('/').split('/');
        let fits = self
            .0
            .trim_end_matches('/')
            .split('/')
            .all(|wanted| segments.next().is_some_and(|segment| wanted == "*" || wanted == segment));
        fits && segments.next().is_none()
    }
}
