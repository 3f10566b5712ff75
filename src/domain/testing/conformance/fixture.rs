//! What a case runs against.

use std::any::Any;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::task::Poll;

/// Work, possibly on another thread.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Starts a task at once; the task that it returns ends when that one has ended.
pub type Spawn = fn(Task) -> Task;

/// A port, and what has to live as long as it does.
pub struct Fixture<P: ?Sized> {
    instances: Vec<Arc<P>>,
    guards: Vec<Box<dyn Any + Send>>,
    spawn: Spawn,
}

impl<P: ?Sized + 'static> Fixture<P> {
    /// A fixture around an empty adapter.
    #[must_use]
    pub fn new(port: Arc<P>) -> Self {
        Self { instances: vec![port], guards: Vec::new(), spawn: |task| task }
    }

    /// Adds another instance that shares the database of the first, as another machine does. Concurrent callers are spread
    /// over all instances.
    #[must_use]
    pub fn with_instance(mut self, port: Arc<P>) -> Self {
        self.instances.push(port);
        self
    }

    /// Keeps `guard`, such as a temporary directory, until the case has ended.
    #[must_use]
    pub fn holding(mut self, guard: impl Any + Send) -> Self {
        self.guards.push(Box::new(guard));
        self
    }

    /// Runs concurrent callers with `spawn`. Without it they take turns on one thread.
    #[must_use]
    pub fn spawning(mut self, spawn: Spawn) -> Self {
        self.spawn = spawn;
        self
    }

    /// The first instance.
    #[must_use]
    pub fn port(&self) -> &P {
        &self.instances[0]
    }

    /// The last instance, which is the first if there is only one.
    #[must_use]
    pub fn other_instance(&self) -> &P {
        &self.instances[self.instances.len() - 1]
    }

    /// The results of `count` concurrent callers, in order.
    ///
    /// # Panics
    /// When one of them does.
    pub async fn together<T, F>(&self, callers: usize, call: impl Fn(usize, Arc<P>) -> F) -> Vec<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel();
        let start = |number: usize| {
            let answer = call(number, Arc::clone(&self.instances[number % self.instances.len()]));
            let sender = sender.clone();
            (self.spawn)(Box::pin(async move {
                // The receiver outlives all tasks, so this cannot fail.
                let _ = sender.send((number, answer.await));
            }))
        };
        join_all((0..callers).map(start).collect()).await;
        drop(sender);
        let mut answers: Vec<(usize, T)> = receiver.into_iter().collect();
        answers.sort_by_key(|(number, _)| *number);
        assert_eq!(answers.len(), callers, "a concurrent caller got no answer");
        answers.into_iter().map(|(_, answer)| answer).collect()
    }
}

async fn join_all(mut tasks: Vec<Task>) {
    poll_fn(|context| {
        tasks.retain_mut(|task| task.as_mut().poll(context).is_pending());
        if tasks.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
