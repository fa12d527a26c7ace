//! Documents of other fault tools → rules of ours.
//!
//! What is written says the same as its source, or less: a rule that would hit more than its source says is written but
//! not enabled, and a percentage that is not there is never made up. Everything that could not be carried over becomes
//! a [`Finding`]; nothing is dropped in silence.

mod chaos_mesh;
mod documents;
mod draft;
mod finding;
mod istio;
mod kuma;
mod overlap;
mod quantities;
mod read;
mod result;
mod sheet;
mod toxiproxy;

use std::collections::BTreeSet;

use crate::problem::Problems;
use crate::spec::ConfigSpec;

use documents::Document;
use sheet::Sheet;

pub use finding::{Effect, Finding};
pub use result::{Import, Options, Source};

impl Import {
    /// Nothing so far.
    pub fn new() -> Self {
        Self { spec: ConfigSpec { version: Some(1), ..ConfigSpec::default() }, ..Self::default() }
    }

    /// Adds the documents of one text, YAML or JSON.
    ///
    /// # Errors
    /// Text that is no YAML, or fields of a wrong type; then nothing of this text was added but what came before it.
    pub fn add(&mut self, text: &str, options: &Options) -> Result<(), Problems> {
        let documents = documents::read(text)?;
        for document in &documents.all {
            let before = self.findings.len();
            let translated = self.document(document, options);
            for finding in self.findings.iter_mut().skip(before) {
                (finding.line, finding.column) = documents.position(document, &finding.path);
            }
            translated.map_err(|mut problem| {
                (problem.line, problem.column) = documents.position(document, &problem.path);
                problem
            })?;
        }
        Ok(())
    }

    /// Checks the whole of what came of it, as a file that has the clusters that its rules name.
    ///
    /// # Errors
    /// What each rule by itself does not show, such as too many of them.
    pub fn validate(&self) -> Result<(), Problems> {
        let mut spec = self.spec.clone();
        spec.clusters.extend(self.clusters_elsewhere().into_iter().map(sheet::stand_in));
        crate::validate(&spec).map(|_| ())
    }

    /// The clusters that rules name and another file has to have.
    pub fn clusters_elsewhere(&self) -> BTreeSet<&str> {
        let named = self.spec.rules.iter().filter_map(|rule| rule.matches.as_ref()?.cluster.as_deref());
        named.filter(|name| self.spec.clusters.iter().all(|cluster| cluster.name != *name)).collect()
    }

    /// How many findings are more than notes.
    pub fn n_losses(&self) -> usize {
        self.findings.iter().filter(|finding| finding.effect != Effect::Note).count()
    }

    fn document(&mut self, document: &Document, options: &Options) -> Result<(), crate::Problem> {
        let title = document.title();
        let mut sheet = Sheet::new(title, document.name(), options, self);
        let Some((source, translate)) = recognise(document) else {
            sheet.unknown_document(document);
            return Ok(());
        };
        if options.source.is_some_and(|wanted| wanted != source) {
            sheet.lost("", "it is of another source than --from says, and was left out", "import it by itself");
            return Ok(());
        }
        translate(&document.value, &mut sheet)?;
        self.n_documents += 1;
        Ok(())
    }
}

type Translate = fn(&serde_json::Value, &mut Sheet<'_>) -> Result<(), crate::Problem>;

/// Whose a document is and what reads it.
fn recognise(document: &Document) -> Option<(Source, Translate)> {
    let group = document.api_group();
    match (group, document.kind()) {
        ("networking.istio.io", Some("VirtualService")) => Some((Source::Istio, istio::translate)),
        ("chaos-mesh.org", Some("HTTPChaos")) => Some((Source::ChaosMesh, chaos_mesh::http::translate)),
        ("chaos-mesh.org", Some("NetworkChaos")) => Some((Source::ChaosMesh, chaos_mesh::network::translate)),
        // In its universal form a document has a type and no API group.
        ("kuma.io" | "", Some("MeshFaultInjection")) => Some((Source::Kuma, kuma::translate)),
        ("kuma.io" | "", Some("FaultInjection")) => Some((Source::Kuma, kuma::translate_legacy)),
        (_, None) if toxiproxy::is_proxies(&document.value) => Some((Source::Toxiproxy, toxiproxy::translate)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
