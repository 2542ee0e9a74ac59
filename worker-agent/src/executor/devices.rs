//! What a process finds in its environment of the devices it is lent.

use windlass_shared::domain::Grant;

/// Devices of this name are GPUs of the kind that CUDA counts.
const GPU: &str = "gpu";
/// What CUDA, and most that builds on it, lets a process see.
const CUDA: &str = "CUDA_VISIBLE_DEVICES";

/// Variables and their values.
pub(super) fn env(grants: &[Grant]) -> Vec<(String, String)> {
    let mut env = Vec::new();
    for grant in grants {
        let ids = grant.ids.join(",");
        let name = in_capitals(&grant.device);
        if grant.share_milli < 1_000 {
            env.push((format!("WINDLASS_DEVICE_SHARE_{name}"), grant.share_milli.to_string()));
        }
        if &*grant.device == GPU {
            env.push((CUDA.to_owned(), ids.clone()));
        }
        env.push((format!("WINDLASS_DEVICES_{name}"), ids));
    }
    env
}

/// A name as part of a variable's.
pub(crate) fn in_capitals(name: &str) -> String {
    let letter = |char: char| if char.is_ascii_alphanumeric() { char.to_ascii_uppercase() } else { '_' };
    name.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(device: &str, ids: &[&str], share_milli: u32) -> Grant {
        Grant { device: device.into(), ids: ids.iter().map(|id| (*id).into()).collect(), share_milli }
    }

    fn shown(grants: &[Grant]) -> Vec<String> {
        env(grants).into_iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn gpus_are_told_to_cuda_too() {
        let whole = ["CUDA_VISIBLE_DEVICES=0,GPU-1", "WINDLASS_DEVICES_GPU=0,GPU-1"];
        assert_eq!(shown(&[grant("gpu", &["0", "GPU-1"], 1_000)]), whole);
        assert_eq!(shown(&[grant("fpga-u50", &["a"], 1_000)]), ["WINDLASS_DEVICES_FPGA_U50=a"]);
        assert_eq!(shown(&[]), [""; 0]);
    }

    #[test]
    fn a_share_of_the_last_is_told_beside_it() {
        assert_eq!(
            shown(&[grant("net", &["eth0"], 250)]),
            ["WINDLASS_DEVICE_SHARE_NET=250", "WINDLASS_DEVICES_NET=eth0"]
        );
    }
}
