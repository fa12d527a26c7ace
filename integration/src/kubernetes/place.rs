//! Where an object or a list is, by the path of a request.

/// A kind of objects: group (empty for the core), version and plural.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Resource {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) plural: String,
}

impl Resource {
    pub(super) fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }
}

/// One object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) resource: Resource,
    /// Empty where it has none.
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Key {
    /// The list that the object is in.
    pub(super) fn list(&self) -> Place {
        let namespace = Some(self.namespace.clone()).filter(|namespace| !namespace.is_empty());
        Place { resource: self.resource.clone(), namespace, name: None, part: None }
    }
}

/// What a path is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) resource: Resource,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    /// Such as `status`.
    pub(super) part: Option<String>,
}

impl Place {
    /// `/api/v1/…` or `/apis/GROUP/VERSION/…`, then `namespaces/NAME/` where there is one, PLURAL, NAME and a part of it.
    pub(super) fn of(path: &str) -> Option<Self> {
        let steps: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, version, rest) = match steps[..] {
            ["api", version, ref rest @ ..] => ("", version, rest),
            ["apis", group, version, ref rest @ ..] => (group, version, rest),
            _ => return None,
        };
        let (namespace, rest) = match *rest {
            ["namespaces", namespace, plural, ref more @ ..] => (Some(namespace), (plural, more)),
            [plural, ref more @ ..] => (None, (plural, more)),
            [] => return None,
        };
        let (plural, more) = rest;
        let own = |text: &&str| (*text).to_owned();
        Some(Self {
            resource: Resource { group: group.to_owned(), version: version.to_owned(), plural: plural.to_owned() },
            namespace: namespace.map(str::to_owned),
            name: more.first().map(own),
            part: more.get(1).map(own),
        })
    }

    /// The object at this place, when it is one.
    pub(super) fn key(&self) -> Option<Key> {
        let (resource, name) = (self.resource.clone(), self.name.clone()?);
        Some(Key { resource, namespace: self.namespace.clone().unwrap_or_default(), name })
    }

    /// Whether an object is in the list at this place.
    pub(super) fn has(&self, key: &Key) -> bool {
        self.resource == key.resource && self.namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read() {
        let place = Place::of("/apis/squall.dev/v1alpha1/namespaces/shop/faultrules/slow/status").unwrap();
        assert_eq!(place.resource.api_version(), "squall.dev/v1alpha1");
        assert_eq!(
            (place.namespace.as_deref(), place.name.as_deref(), place.part.as_deref()),
            (Some("shop"), Some("slow"), Some("status"))
        );
        let all = Place::of("/apis/squall.dev/v1alpha1/faultrules").unwrap();
        assert!(all.has(&place.key().unwrap()) && all.key().is_none());
        let core = Place::of("/api/v1/namespaces/shop/events").unwrap();
        assert_eq!((core.resource.api_version(), core.resource.plural), ("v1".to_owned(), "events".to_owned()));
        assert_eq!((Place::of("/version"), Place::of("/apis"), Place::of("/api/v1")), (None, None, None));
    }
}
