//! Types of libc++ (`std::__1`). Its headers are the source of truth; the names below are theirs. Versions differ in how they wrap
//! members, so some are sought.

mod containers;
mod holders;

use super::{
    Named,
    libstdcxx::{adaptor, bitset, pair, time_point},
};

pub(super) const VIEWS: &[Named] = &[
    Named { stems: &["std::basic_string"], show: containers::string },
    Named { stems: &["std::basic_string_view"], show: containers::string_view },
    Named { stems: &["std::vector"], show: containers::vector },
    Named { stems: &["std::array"], show: containers::array },
    Named { stems: &["std::bitset"], show: bitset },
    Named { stems: &["std::deque"], show: containers::deque },
    Named { stems: &["std::list"], show: containers::list },
    Named { stems: &["std::forward_list"], show: containers::forward_list },
    Named { stems: &["std::map", "std::multimap"], show: containers::map },
    Named { stems: &["std::set", "std::multiset"], show: containers::set },
    Named { stems: &["std::unordered_map", "std::unordered_multimap"], show: containers::unordered_map },
    Named { stems: &["std::unordered_set", "std::unordered_multiset"], show: containers::unordered_set },
    Named { stems: &["std::stack", "std::queue", "std::priority_queue"], show: adaptor },
    Named { stems: &["std::span"], show: containers::span },
    Named { stems: &["std::shared_ptr", "std::weak_ptr"], show: holders::shared },
    Named { stems: &["std::unique_ptr"], show: holders::unique },
    Named { stems: &["std::optional"], show: holders::optional },
    Named { stems: &["std::variant"], show: holders::variant },
    Named { stems: &["std::tuple"], show: holders::tuple },
    Named { stems: &["std::atomic"], show: holders::atomic },
    Named { stems: &["std::pair"], show: pair },
    Named { stems: &["std::chrono::duration"], show: holders::duration },
    Named { stems: &["std::chrono::time_point"], show: time_point },
    Named { stems: &["std::thread::id", "std::__thread_id"], show: holders::thread_id },
    Named { stems: &["std::mutex", "std::recursive_mutex"], show: holders::mutex },
];
