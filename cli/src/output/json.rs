//! The protobuf JSON mapping, by the contract as written: generated types hold specs as bytes, JSON shows them whole.

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use windlass_shared::pb;

use crate::exit::Exit;
use crate::failure::Failure;

/// A message of the API, by its name in the contract.
pub(crate) trait Document: Message {
    const NAME: &'static str;
}

macro_rules! documents {
    ($($name:ident),*) => {
        $(impl Document for pb::$name {
            const NAME: &'static str = concat!("windlass.v1.", stringify!($name));
        })*
    };
}

documents!(ExplainJobResponse, Job, JobEvent, ListJobsResponse, BatchSubmitJobsResponse, BatchSubmitJobsResult);
documents!(Agent, ListAgentsResponse, Queue, ListQueuesResponse);
documents!(Counter, GetCountersResponse, Limit, ListLimitsResponse);
documents!(PoolState, AgentPools, ListPoolsResponse, WorkerState, ListWorkersResponse, WorkerLogs);

documents!(RetryPolicy);

/// A message of the API from its JSON.
pub(crate) fn parse_json<M: Document + Default>(text: &str) -> Result<M, String> {
    let Json(pool) = Json::new().map_err(|failure| failure.what)?;
    let descriptor = pool.get_message_by_name(M::NAME).ok_or("the API has no such message")?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let message = DynamicMessage::deserialize(descriptor, &mut reader).map_err(|err| err.to_string())?;
    reader.end().map_err(|err| err.to_string())?;
    M::decode(message.encode_to_vec().as_slice()).map_err(|err| err.to_string())
}

/// Writes messages as JSON.
#[derive(Debug)]
pub(crate) struct Json(DescriptorPool);

impl Json {
    pub(crate) fn new() -> Result<Self, Failure> {
        DescriptorPool::decode(pb::DESCRIPTORS).map(Self).map_err(bug)
    }

    /// One document, for reading: indented, ending with a line feed.
    pub(crate) fn document<M: Document>(&self, message: &M) -> Result<String, Failure> {
        let text = serde_json::to_string_pretty(&self.dynamic(message)?).map_err(bug)?;
        Ok(text + "\n")
    }

    /// One object a line.
    pub(crate) fn lines<'a, M: Document + 'a>(
        &self,
        messages: impl IntoIterator<Item = &'a M>,
    ) -> Result<String, Failure> {
        let mut lines = String::new();
        for message in messages {
            lines += &serde_json::to_string(&self.dynamic(message)?).map_err(bug)?;
            lines.push('\n');
        }
        Ok(lines)
    }

    fn dynamic<M: Document>(&self, message: &M) -> Result<DynamicMessage, Failure> {
        let descriptor = self.0.get_message_by_name(M::NAME).ok_or_else(|| bug(M::NAME))?;
        DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).map_err(bug)
    }
}

fn bug(err: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::OTHER, "BUG", format!("cannot write JSON: {err}"))
}

/// A failure as a document of its own.
pub(crate) fn failure(failure: &Failure) -> String {
    let error = serde_json::json!({
        "error": { "reason": failure.reason, "message": failure.what, "details": failure.why, "remedy": failure.remedy }
    });
    format!("{error}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> pb::Job {
        let exec = pb::Exec { argv: vec!["echo".into()], stdin: "hi".into(), ..pb::Exec::default() };
        let run_timeout = Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 });
        let work = Some(pb::job_spec::Work::Exec(exec));
        let spec = pb::JobSpec { work, run_timeout, ..pb::JobSpec::default() }.encode_to_vec().into();
        let create_time = Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 });
        pb::Job {
            id: "a".into(),
            state: pb::job::State::Running.into(),
            spec,
            revision: 7,
            create_time,
            ..pb::Job::default()
        }
    }

    #[test]
    fn a_job_is_the_protobuf_mapping_with_its_spec_in_full() {
        let line = Json::new().expect("descriptors").lines([&job()]).expect("json");
        let wanted = concat!(
            r#"{"id":"a","state":"STATE_RUNNING","#,
            r#""spec":{"exec":{"argv":["echo"],"stdin":"aGk="},"runTimeout":"1.500s"},"#,
            r#""revision":"7","createTime":"2023-11-14T22:13:20Z"}"#,
            "\n"
        );
        assert_eq!(line, wanted);
    }

    #[test]
    fn every_document_is_in_the_contract() {
        let json = Json::new().expect("descriptors");
        assert_eq!(json.document(&pb::ListJobsResponse::default()).expect("json"), "{}\n");
        assert_eq!(json.document(&pb::ListAgentsResponse::default()).expect("json"), "{}\n");
        assert_eq!(json.document(&pb::BatchSubmitJobsResponse::default()).expect("json"), "{}\n");
        assert_eq!(json.document(&pb::ListQueuesResponse::default()).expect("json"), "{}\n");
        assert_eq!(json.document(&pb::ListPoolsResponse::default()).expect("json"), "{}\n");
        assert_eq!(json.document(&pb::ListWorkersResponse::default()).expect("json"), "{}\n");
        assert_eq!(json.document(&pb::GetCountersResponse::default()).expect("json"), "{}\n");
        assert_eq!(json.lines([&pb::Counter::default()]).expect("json"), "{}\n");
        assert_eq!(json.lines([&pb::PoolState::default()]).expect("json"), "{}\n");
        assert_eq!(json.lines([&pb::AgentPools::default()]).expect("json"), "{}\n");
        assert_eq!(json.lines([&pb::WorkerState::default()]).expect("json"), "{}\n");
        assert_eq!(json.lines([&pb::WorkerLogs::default()]).expect("json"), "{}\n");
        assert_eq!(json.lines([&pb::Queue::default()]).expect("json"), "{}\n");
        assert_eq!(json.lines([&pb::Agent::default()]).expect("json"), "{}\n");
        assert_eq!(json.lines([&pb::BatchSubmitJobsResult::default()]).expect("json"), "{}\n");
    }

    #[test]
    fn a_failure_is_a_document_too() {
        let text = failure(&Failure::usage("no").because(["a b".to_owned()]));
        let value: serde_json::Value = serde_json::from_str(&text).expect("json");
        assert_eq!(value["error"]["reason"], "INVALID_ARGUMENT");
        assert_eq!(value["error"]["details"][0], "a b");
    }
}
