//! A page of the fleet's pools: all agents of the page are asked at the same time, and who does not answer is named with why.

use prost::Message;
use tonic::Status;
use windlass_shared::convert;
use windlass_shared::domain::{AgentAnswer, AgentAsk, AgentRecord};
use windlass_shared::fault::{Fault, Invalid};
use windlass_shared::ids::{AgentId, SessionId};
use windlass_shared::pb;
use windlass_shared::status::{Items, to_status};

use super::error::ApiError;
use super::{Api, page};
use crate::sessions::{AskError, Waiting};

const AGENTS_PAGE: usize = 20;
/// Each costs an ask, and up to 2 MiB of an answer.
const AGENTS_PAGE_MAX: usize = 100;
/// Bytes of answers in one page, the last agent's beyond it: half of the largest message, and one agent's pools are less than the
/// other half.
const PAGE_BYTES_MAX: usize = 2 << 20;

/// One agent of the page, asked.
struct Asked {
    agent: AgentRecord,
    waiting: Result<Waiting, AskError>,
}

/// Which agents: one, or a page of all.
enum Which {
    One(AgentId),
    Page(Option<AgentId>, usize),
}

fn list_request(request: &pb::ListPoolsRequest) -> Result<Which, Invalid> {
    let limit = convert::page_size("page_size", request.page_size, AGENTS_PAGE)?.min(AGENTS_PAGE_MAX);
    let after = page::read_token("page_token", &request.page_token, &request.agent_id)?;
    if request.agent_id.is_empty() {
        return Ok(Which::Page(after, limit));
    }
    convert::agent_id("agent_id", &request.agent_id).map(Which::One)
}

impl Api {
    pub(super) async fn pools_page(&self, request: &pb::ListPoolsRequest) -> Result<pb::ListPoolsResponse, Status> {
        let which = list_request(request).map_err(|err| to_status(&err))?;
        let (mut streams, limit) = match which {
            Which::One(agent) => {
                let known = self.driver.streams(None, Some(agent), 1).await.map_err(|err| to_status(&err))?;
                if known.is_empty() {
                    return Err(to_status(&ApiError::NoSuchAgent(agent)));
                }
                (known, 1)
            }
            Which::Page(after, limit) => {
                (self.driver.streams(after, None, limit + 1).await.map_err(|err| to_status(&err))?, limit)
            }
        };
        let more = streams.len() > limit;
        streams.truncate(limit);
        let last = streams.last().map(|(agent, _)| agent.id).filter(|_| more);
        let asked: Vec<Asked> =
            streams.into_iter().filter(|(agent, _)| !agent.pools.is_empty()).map(|one| self.begin(one)).collect();
        Ok(answers(asked, last).await)
    }

    fn begin(&self, (agent, session): (AgentRecord, Option<SessionId>)) -> Asked {
        let begin = |session| self.registry.begin(session, AgentAsk::Pools);
        Asked { waiting: session.map_or(Err(AskError::Away), begin), agent }
    }
}

/// What they answer, until the page is full; `last`: the page's last agent, where there are more.
async fn answers(asked: Vec<Asked>, last: Option<AgentId>) -> pb::ListPoolsResponse {
    let mut page = pb::ListPoolsResponse::default();
    let (mut bytes, mut errors) = (0, Items::default());
    let mut left = asked.into_iter();
    while let Some(Asked { agent, waiting }) = left.next() {
        let one = agent_pools(&agent, waiting, &mut errors).await;
        bytes += one.encoded_len();
        page.agents.push(one);
        if bytes >= PAGE_BYTES_MAX && left.len() > 0 {
            page.next_page_token = page::token(Some(agent.id), &String::new());
            return page;
        }
    }
    page.next_page_token = page::token(last, &String::new());
    page
}

async fn agent_pools(agent: &AgentRecord, waiting: Result<Waiting, AskError>, errors: &mut Items) -> pb::AgentPools {
    let mut error = |why: &dyn Fault| (Vec::new(), Some(errors.item(why)));
    let answer = match waiting {
        Ok(waiting) => waiting.answer().await,
        Err(why) => Err(why),
    };
    let (pools, error) = match answer {
        Ok(AgentAnswer::Pools(pools, _)) => (pools.iter().map(convert::pool_to_wire).collect(), None),
        Ok(AgentAnswer::Pool(Err(refusal))) => error(&refusal),
        Ok(AgentAnswer::Pool(Ok(_))) => error(&ApiError::StrangeAnswer(agent.id)),
        Err(why) => error(&why),
    };
    pb::AgentPools { agent_id: agent.id.to_string(), agent_name: agent.name.to_string(), pools, error }
}
