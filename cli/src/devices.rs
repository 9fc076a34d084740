//! `warpdrive devices`: what sysfs shows.

use std::io::{self, Write};

use serde_json::{Value, json};
use warpdrive::devices::{DeviceInfo, Roots, discover, obstacle};

/// The devices by name.
pub(crate) fn sorted(roots: &Roots) -> Vec<DeviceInfo> {
    let mut list = discover(roots);
    list.sort_by(|a, b| a.name.cmp(&b.name));
    list
}

/// One line each.
pub(crate) fn table(list: &[DeviceInfo], out: &mut impl Write) -> io::Result<()> {
    if list.is_empty() {
        return writeln!(out, "no devices");
    }
    let heading = ["device", "interface", "free queues", "node", "algorithms", "state"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for device in list {
        let unknown = || "?".to_owned();
        rows.push(vec![
            plain(&device.name),
            plain(&device.api),
            device.available_instances.map_or_else(unknown, |free| free.to_string()),
            if device.numa_node < 0 { unknown() } else { device.numa_node.to_string() },
            plain(&device.algorithms.join(",")),
            obstacle(device).map_or_else(|| "usable".to_owned(), |why| format!("not used: {why}")),
        ]);
    }
    crate::columns(&rows, out)
}

/// An array of objects.
pub(crate) fn json(list: &[DeviceInfo], out: &mut impl Write) -> io::Result<()> {
    let array: Vec<Value> = list.iter().map(object).collect();
    writeln!(out, "{:#}", Value::from(array))
}

fn object(device: &DeviceInfo) -> Value {
    json!({
        "name": device.name,
        "path": device.path.to_string_lossy(),
        "api": device.api,
        "flags": device.flags,
        "sva": device.sva(),
        "algorithms": device.algorithms,
        "available_instances": device.available_instances,
        "numa_node": device.numa_node,
        "isolated": device.isolated,
        "obstacle": obstacle(device),
    })
}

/// Without characters that could play with a terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
