//! What is added to a pod, and the patch that adds it.

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation};
use serde_json::{Map, Value, json};

use crate::mesh::Mesh;
use crate::settings::{Mode, Settings};
use crate::status::{Status, hash};
use crate::{ANNOTATION_CONFIG, ANNOTATION_CONTROLLER_CA, ANNOTATION_STATUS, configuration, containers, pod};

/// The lists of a pod's containers.
pub(crate) const CONTAINER_LISTS: [&str; 2] = ["initContainers", "containers"];

/// Everything that is added, but for the annotation that says so.
#[derive(Debug)]
pub(crate) struct Additions {
    mode: Mode,
    /// In this order before all others.
    init_containers: Vec<Value>,
    volume: Value,
    /// Where a controller is followed: another volume, and the authorities that vouch for it.
    of_controller: Option<(Value, String)>,
    /// The configuration, unless a ConfigMap has it.
    configuration: Option<String>,
    /// For each container that takes them: in which list, at which place, its name.
    variables_of: Vec<(&'static str, usize, String)>,
    variables: Vec<Value>,
    pub(crate) notes: Vec<String>,
}

impl Additions {
    pub(crate) fn to(pod: &Value, settings: &Settings, meshes: &[Mesh]) -> Self {
        let mode = settings.calls.mode();
        let mut notes = Vec::new();
        let init = (mode == Mode::Native).then(|| containers::init(settings, meshes));
        let variables = containers::proxy_variables(settings);
        let mut variables_of = Vec::new();
        for (list, index, container) in (!variables.is_empty()).then(|| numbered(pod)).into_iter().flatten() {
            let name = pod::name(container).to_owned();
            match written_variable(container) {
                None => variables_of.push((list, index, name)),
                Some(variable) => notes.push(format!("container {name} has {variable} already; its calls are its own")),
            }
        }
        Self {
            mode,
            init_containers: init.into_iter().chain([containers::sidecar(settings)]).collect(),
            volume: containers::volume(settings),
            of_controller: settings.controller.as_ref().map(|c| (containers::controller_volume(), c.ca.clone())),
            configuration: settings.config_map.is_none().then(|| configuration::text(&settings.calls)),
            variables_of,
            variables,
            notes,
        }
    }

    /// Of all that is added.
    pub(crate) fn hash(&self) -> String {
        let names: Vec<&str> = self.variables_of.iter().map(|(_, _, name)| name.as_str()).collect();
        let parts = [&self.init_containers, &self.variables].map(|list| Value::from(list.clone()));
        let [containers, variables] = parts;
        let mut all = vec![containers, self.volume.clone(), json!(self.configuration), variables, json!(names)];
        all.extend(self.of_controller.iter().flat_map(|(volume, ca)| [volume.clone(), json!(ca)]));
        hash(&all)
    }

    /// Only operations `add`, in the order in which they are applied.
    pub(crate) fn patch(self, pod: &Value) -> Patch {
        let mut patch = Builder { pod, operations: Vec::new() };
        patch.annotations(self.annotations());
        // Those of containers first: their places move when others come before them.
        for (list, index, _) in &self.variables_of {
            patch.append(&["spec", list, &index.to_string(), "env"], &self.variables);
        }
        patch.prepend(&["spec", "initContainers"], self.init_containers);
        let volumes: Vec<Value> =
            std::iter::once(self.volume).chain(self.of_controller.map(|(volume, _)| volume)).collect();
        patch.append(&["spec", "volumes"], &volumes);
        Patch(patch.operations)
    }

    fn annotations(&self) -> Vec<(&'static str, String)> {
        let status = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mode: self.mode.name().to_owned(),
            hash: self.hash(),
            env: self.variables_of.iter().map(|(_, _, name)| name.clone()).collect(),
        };
        let configuration = self.configuration.clone().map(|text| (ANNOTATION_CONFIG, text));
        let ca = self.of_controller.clone().map(|(_, ca)| (ANNOTATION_CONTROLLER_CA, ca));
        configuration.into_iter().chain(ca).chain([(ANNOTATION_STATUS, status.text())]).collect()
    }
}

/// The application's containers with their places.
fn numbered(pod: &Value) -> impl Iterator<Item = (&'static str, usize, &Value)> {
    CONTAINER_LISTS.into_iter().flat_map(move |list| {
        pod::containers_of(pod, list).iter().enumerate().map(move |(index, container)| (list, index, container))
    })
}

/// A variable that tells a container already how it reaches others: it is left alone then, so that nothing of it is
/// overridden, and so that what is taken out again is what was added.
fn written_variable(container: &Value) -> Option<&str> {
    let variables = container.get("env").and_then(Value::as_array).into_iter().flatten();
    variables.map(pod::name).find(|name| containers::PROXY_VARIABLES.contains(name))
}

struct Builder<'a> {
    pod: &'a Value,
    operations: Vec<PatchOperation>,
}

impl Builder<'_> {
    fn add(&mut self, path: &[&str], value: Value) {
        let path = PointerBuf::from_tokens(path.iter().copied());
        self.operations.push(PatchOperation::Add(AddOperation { path, value }));
    }

    /// What is in the pod at this path; `null` is nothing, as it is for Kubernetes.
    fn written(&self, path: &[&str]) -> Option<&Value> {
        self.pod.pointer(&PointerBuf::from_tokens(path.iter().copied()).to_string()).filter(|value| !value.is_null())
    }

    /// Behind what is in a list, or as a list of its own.
    fn append(&mut self, path: &[&str], items: &[Value]) {
        if self.written(path).is_none() {
            return self.add(path, items.into());
        }
        let end: Vec<&str> = path.iter().copied().chain(["-"]).collect();
        items.iter().for_each(|item| self.add(&end, item.clone()));
    }

    /// Before what is in a list, or as a list of its own.
    fn prepend(&mut self, path: &[&str], items: Vec<Value>) {
        if self.written(path).is_none() {
            return self.add(path, items.into());
        }
        for (index, item) in items.into_iter().enumerate() {
            let index = index.to_string();
            let place: Vec<&str> = path.iter().copied().chain([index.as_str()]).collect();
            self.add(&place, item);
        }
    }

    fn annotations(&mut self, annotations: Vec<(&'static str, String)>) {
        let (metadata, place) = (["metadata"], ["metadata", "annotations"]);
        if self.written(&place).is_some() {
            for (name, text) in annotations {
                self.add(&["metadata", "annotations", name], text.into());
            }
            return;
        }
        let all: Map<String, Value> =
            annotations.into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect();
        match self.written(&metadata) {
            Some(_) => self.add(&place, all.into()),
            None => self.add(&metadata, json!({ "annotations": all })),
        }
    }
}
