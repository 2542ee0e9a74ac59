//! One call for each of many jobs, a bounded number at a time, answers in the order of the jobs.

use std::future::Future;

use tokio::task::JoinSet;

/// Calls under way at a time: hides the way there and back without being a burden to anybody.
const AT_A_TIME: usize = 32;

/// What `call` answers for each item.
pub(crate) async fn each<T, R, F>(items: Vec<T>, call: impl Fn(T) -> F) -> Vec<R>
where
    F: Future<Output = R> + Send + 'static,
    R: Send + 'static,
{
    let mut answers: Vec<Option<R>> = items.iter().map(|_| None).collect();
    let mut calls = JoinSet::new();
    for (number, item) in items.into_iter().enumerate() {
        if calls.len() >= AT_A_TIME {
            settle(&mut calls, &mut answers).await;
        }
        let answer = call(item);
        calls.spawn(async move { (number, answer.await) });
    }
    while !calls.is_empty() {
        settle(&mut calls, &mut answers).await;
    }
    answers.into_iter().flatten().collect()
}

async fn settle<R: 'static>(calls: &mut JoinSet<(usize, R)>, answers: &mut [Option<R>]) {
    match calls.join_next().await {
        Some(Ok((number, answer))) => answers[number] = Some(answer),
        // A call panics only by our own bug, and hiding that would hide a missing answer.
        Some(Err(err)) if err.is_panic() => std::panic::resume_unwind(err.into_panic()),
        Some(Err(_)) | None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn answers_keep_the_order_of_the_items_whoever_is_first() {
        let slow_first = |n: u64| async move {
            tokio::time::sleep(Duration::from_millis(100 - n)).await;
            n
        };
        assert_eq!(each((0..100).collect(), slow_first).await, (0..100).collect::<Vec<_>>());
    }
}
