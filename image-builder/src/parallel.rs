//! Doing the same to many things on all cores.

use std::sync::Mutex;

/// Runs `work` on every item, on as many threads as there are cores; the first error is returned after all threads ended.
///
/// Items are taken in order by whichever thread is free, so a few large ones do not hold up the rest.
pub fn for_each<T: Send>(items: impl IntoIterator<Item = T>, work: impl Fn(T) -> anyhow::Result<()> + Sync) -> anyhow::Result<()> {
    let queue: Mutex<std::vec::IntoIter<T>> = Mutex::new(items.into_iter().collect::<Vec<T>>().into_iter());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let worker = || -> anyhow::Result<()> {
        loop {
            let next = queue.lock().map_err(|_| anyhow::anyhow!("another thread panicked"))?.next();
            match next {
                Some(item) => work(item)?,
                None => return Ok(()),
            }
        }
    };
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let results: Vec<anyhow::Result<()>> =
            handles.into_iter().map(|handle| handle.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked")))).collect();
        results.into_iter().collect()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_item_is_worked_on_once() {
        let sum = AtomicUsize::new(0);
        for_each(1..=100, |item| {
            sum.fetch_add(item, Ordering::Relaxed);
            Ok(())
        })
        .unwrap();
        assert_eq!(sum.into_inner(), 5050);
    }

    #[test]
    fn an_error_is_not_lost() {
        let error = for_each(0..100, |item| if item == 50 { Err(anyhow::anyhow!("item 50")) } else { Ok(()) }).unwrap_err();
        assert_eq!(error.to_string(), "item 50");
    }
}
