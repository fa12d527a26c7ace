//! Who knows whom.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Names, Source};

/// Which file takes which names from which other.
pub(crate) type Known = BTreeMap<(String, String), BTreeSet<String>>;

/// The files of a crate by module, and what each name that is imported anywhere stands for.
struct Modules<'a> {
    files: BTreeMap<&'a [String], &'a str>,
    imported: BTreeMap<Names, Names>,
}

impl<'a> Modules<'a> {
    fn of(sources: &'a [Source]) -> Self {
        let files: BTreeMap<_, _> = sources.iter().map(|source| (&*source.module, &*source.file)).collect();
        assert_eq!(files.len(), sources.len(), "two files are the same module");
        let mut modules = Self { files, imported: BTreeMap::new() };
        for source in sources {
            for import in &source.imports {
                if let Some(path) = modules.absolute(&source.module, &import.path) {
                    modules.imported.insert([&*source.module, std::slice::from_ref(&import.name)].concat(), path);
                }
            }
        }
        modules
    }

    /// Where a path that a module writes begins in this crate; `None` for those of others, and for local names.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<Names> {
        let (first, rest) = path.split_first()?;
        let child = [module, std::slice::from_ref(first)].concat();
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([module, rest].concat()),
            "super" => {
                let n = path.iter().take_while(|name| *name == "super").count();
                Some([&module[..module.len().checked_sub(n)?], &path[n..]].concat())
            }
            _ if self.files.contains_key(&*child) => Some([&*child, rest].concat()),
            _ => Some([&**self.imported.get(&child)?, rest].concat()),
        }
    }

    /// The file where what is named stands, and what it is called there.
    fn find(&self, mut path: Names) -> Option<(&'a str, String)> {
        // A name that is handed on stands for another; more often than this, it is handed on in a circle.
        for _ in 0..10 {
            let longest = (1..=path.len()).rev().find(|n| {
                !self.files.contains_key(&path[..*n]) && self.imported.get(&path[..*n]).is_some_and(|to| *to != path)
            });
            let Some(n) = longest else { break };
            path = [&*self.imported[&path[..n]], &path[n..]].concat();
        }
        let n = (0..=path.len()).rev().find(|n| self.files.contains_key(&path[..*n]))?;
        Some((self.files[&path[..n]], path[n..].join("::")))
    }
}

/// Who takes what from whom. A name that a file only hands on, and a module that nothing is taken from, count for nothing.
pub(crate) fn knows(sources: &[Source]) -> Known {
    let modules = Modules::of(sources);
    let mut known = Known::new();
    for source in sources {
        let imports = source.imports.iter().filter(|import| !import.is_public).map(|import| &import.path);
        for path in imports.chain(&source.paths) {
            let found = modules.absolute(&source.module, path).and_then(|path| modules.find(path));
            if let Some((file, name)) = found.filter(|(file, name)| *file != source.file && !name.is_empty()) {
                known.entry((source.file.clone(), file.to_owned())).or_default().insert(name);
            }
        }
    }
    known
}

/// The largest sets of files that all reach each other.
pub(crate) fn circles(known: &Known) -> Vec<BTreeSet<String>> {
    let files: BTreeSet<&String> = known.keys().flat_map(|(from, to)| [from, to]).collect();
    let reached: BTreeMap<_, _> = files.iter().map(|file| (*file, reached(known, file))).collect();
    let circle = |file: &&String| -> BTreeSet<String> {
        reached[*file].iter().filter(|other| reached[*other].contains(*file)).map(|other| (*other).clone()).collect()
    };
    files.iter().map(circle).filter(|circle| !circle.is_empty()).collect::<BTreeSet<_>>().into_iter().collect()
}

/// What a file knows, and what those know, and so on.
fn reached<'a>(known: &'a Known, file: &str) -> BTreeSet<&'a String> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![file]);
    while let Some(file) = next.pop() {
        let from_here = known.range((file.to_owned(), String::new())..).take_while(|((from, _), _)| from == file);
        for ((_, to), _) in from_here {
            if reached.insert(to) {
                next.push(to);
            }
        }
    }
    reached
}
