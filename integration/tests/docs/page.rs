//! What a page is made of.

use std::path::{Path, PathBuf};

/// The workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file of Markdown.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// Its path in the workspace.
    pub(crate) name: String,
    /// All of it.
    pub(crate) text: String,
}

/// Text between fences.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// Of its first fence.
    pub(crate) line: usize,
    /// What stands behind that, such as `sh`.
    pub(crate) language: String,
    /// What the comment before it says; empty without one.
    pub(crate) marker: String,
    /// What is between.
    pub(crate) text: String,
}

impl Page {
    /// By its path in the workspace.
    pub(crate) fn read(name: &str) -> Self {
        let text = std::fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        Self { name: name.to_owned(), text }
    }

    /// All blocks, each with the section that it stands in.
    pub(crate) fn blocks(&self) -> Vec<(String, Block)> {
        let (mut blocks, mut section, mut before, mut marker) =
            (Vec::new(), String::new(), String::new(), String::new());
        let mut lines = self.text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            if let Some(language) = line.strip_prefix("```") {
                let text: Vec<&str> = lines.by_ref().map(|(_, l)| l).take_while(|l| *l != "```").collect();
                let marker = std::mem::take(&mut marker);
                let block =
                    Block { line: number + 1, language: language.to_owned(), marker, text: text.join("\n") + "\n" };
                blocks.push((section.clone(), block));
            } else if let Some(title) = line.strip_prefix("## ") {
                before = std::mem::replace(&mut section, title.to_owned());
            } else if line == "<!-- docs: goes on -->" {
                section.clone_from(&before);
            } else if let Some(rest) = line.strip_prefix("<!-- docs: ") {
                rest.trim_end_matches("-->").trim().clone_into(&mut marker);
            } else if !line.is_empty() {
                marker.clear();
            }
        }
        blocks
    }

    /// The sections that have commands, with those and their files.
    pub(crate) fn sections(&self) -> Vec<(String, Vec<Block>)> {
        let mut sections: Vec<(String, Vec<Block>)> = Vec::new();
        for (title, block) in self.blocks().into_iter().filter(|(_, b)| b.language == "sh" || !b.marker.is_empty()) {
            match sections.iter_mut().find(|(t, _)| *t == title) {
                Some((_, blocks)) => blocks.push(block),
                None => sections.push((title, vec![block])),
            }
        }
        sections
    }

    /// What a link can lead to behind `#`, as code hosts make it of headings.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let mut in_block = false;
        let mut anchors = Vec::new();
        for line in self.text.lines() {
            in_block ^= line.starts_with("```");
            if !in_block
                && let Some((_, title)) = line.split_once("# ").filter(|(hashes, _)| hashes.chars().all(|c| c == '#'))
            {
                let kept = title.to_lowercase();
                let kept = kept.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
                anchors.push(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
            }
        }
        anchors
    }

    /// Where its links lead that stay in the workspace.
    pub(crate) fn links(&self) -> Vec<&str> {
        let links = self.text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        links.filter(|link| !link.contains("://") && !link.contains(' ')).collect()
    }
}

/// The files below a folder that are for people to read.
fn find(folder: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(root().join(folder)).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let name = if folder.is_empty() { file.clone() } else { format!("{folder}/{file}") };
        if path.is_dir()
            && !path.is_symlink()
            && !file.starts_with('.')
            && !["target", "dist", "node_modules"].contains(&&*file)
        {
            find(&name, found);
        } else if path.extension().is_some_and(|e| e == "md") {
            found.push(name);
        }
    }
}

/// Every page of the workspace.
pub(crate) fn pages() -> Vec<Page> {
    let mut names = Vec::new();
    find("", &mut names);
    names.sort();
    names.iter().map(|name| Page::read(name)).collect()
}
