//! What a file names of others.

use std::collections::BTreeSet;
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{Attribute, Ident, Item, ItemUse, UseTree, Visibility};

/// Names from the root of a crate, or from a module, downwards.
pub(crate) type Names = Vec<String>;

/// One file, without its tests.
#[derive(Debug)]
pub(crate) struct Source {
    /// Below the folder of the crate's sources.
    pub(crate) file: String,
    /// What module it is.
    pub(crate) module: Names,
    pub(crate) imports: Vec<Import>,
    /// What else is named with at least two names.
    pub(crate) paths: BTreeSet<Names>,
}

/// One name that a file imports.
#[derive(Debug)]
pub(crate) struct Import {
    /// As it is written.
    pub(crate) path: Names,
    /// What it is called here.
    pub(crate) name: String,
    /// It is handed on, and not for this file alone.
    pub(crate) is_public: bool,
}

/// All files of a crate but those that are tests.
pub(crate) fn read(folder: &Path) -> Vec<Source> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(inside) = folders.pop() {
        for entry in std::fs::read_dir(&inside).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && !path.ends_with("tests") {
                folders.push(path);
            } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
                found.push(Source::parse(&name, &std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    // Beside a library it is another crate, which names that one as anybody does.
    if found.iter().any(|source| source.file == "lib.rs") {
        found.retain(|source| source.file != "main.rs");
    }
    found
}

impl Source {
    pub(crate) fn parse(name: &str, text: &str) -> Self {
        let stem = name.strip_suffix(".rs").unwrap();
        let stem = if matches!(stem, "lib" | "main") { "" } else { stem.strip_suffix("/mod").unwrap_or(stem) };
        let module = stem.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let mut source = Self { file: name.to_owned(), module, imports: Vec::new(), paths: BTreeSet::new() };
        source.visit_file(&syn::parse_file(text).unwrap_or_else(|error| panic!("{name}: {error}")));
        source
    }

    fn import(&mut self, before: &[String], tree: &UseTree, is_public: bool) {
        let with = |name: &Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.import(&with(&path.ident), &path.tree, is_public),
            UseTree::Group(group) => group.items.iter().for_each(|item| self.import(before, item, is_public)),
            UseTree::Name(name) if name.ident == "self" => self.imported(before.to_vec(), None, is_public),
            UseTree::Name(name) => self.imported(with(&name.ident), None, is_public),
            UseTree::Rename(renamed) => self.imported(with(&renamed.ident), Some(&renamed.rename), is_public),
            UseTree::Glob(_) => self.imported([before, &["*".to_owned()]].concat(), None, is_public),
        }
    }

    fn imported(&mut self, path: Names, name: Option<&Ident>, is_public: bool) {
        let name = name.map_or_else(|| path.last().unwrap().clone(), ToString::to_string);
        self.imports.push(Import { path, name, is_public });
    }
}

impl<'ast> Visit<'ast> for Source {
    fn visit_item(&mut self, item: &'ast Item) {
        if !attributes(item).iter().any(is_for_tests) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.import(&[], &item.tree, !matches!(item.vis, Visibility::Inherited));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if names.len() > 1 {
            self.paths.insert(names);
        }
        visit::visit_path(self, path);
    }
}

fn is_for_tests(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg") && attribute.parse_args::<Ident>().is_ok_and(|what| what == "test")
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
