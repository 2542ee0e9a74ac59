//! Turns `proto/` into Rust with protox: no protoc, so a fresh machine needs only Rust and a C compiler.
//!
//! Two descriptor sets leave this script. The one for reflection is the contract as written. The one code is generated
//! from has every `JobSpec` field turned into `bytes`: the same wire type, so clients notice nothing, but the coordinator
//! keeps and forwards what arrived instead of decoding and encoding it again (docs/adr/0003-opaque-job-spec.md).

use std::{env, error::Error, fs, path::PathBuf};

use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet};

const SERVICES: [&str; 6] =
    ["agent_service", "fleet_service", "job_service", "limit_service", "pool_service", "queue_service"];
const OPAQUE: &str = ".windlass.v1.JobSpec";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=../proto");
    if env::var_os("CARGO_FEATURE_WIRE").is_none() {
        return Ok(());
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);

    let mut compiler = protox::Compiler::new(["../proto"])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(SERVICES.map(|name| format!("windlass/v1/{name}.proto")))?;
    fs::write(out.join("windlass.bin"), compiler.encode_file_descriptor_set())?;

    let mut set = compiler.file_descriptor_set();
    let patched = make_opaque(&mut set);
    assert_eq!(patched, 3, "Job, SubmitJobRequest and Assignment hold a spec; a fourth place needs a thought here");
    tonic_prost_build::configure()
        .bytes(".")
        .btree_map(".")
        .extern_path(".google.rpc", "::tonic_types::pb")
        // No `connect` helper: it would clash with the RPC of that name, and channels are made in one place each anyway.
        .build_transport(false)
        .generate_default_stubs(false)
        .compile_fds(set)?;
    Ok(())
}

fn make_opaque(set: &mut FileDescriptorSet) -> usize {
    set.file.iter_mut().flat_map(|file| &mut file.message_type).map(make_fields_opaque).sum()
}

fn make_fields_opaque(message: &mut DescriptorProto) -> usize {
    let specs = message.field.iter_mut().filter(|field| field.type_name() == OPAQUE);
    specs
        .map(|field| {
            field.set_type(Type::Bytes);
            field.type_name = None;
        })
        .count()
}
