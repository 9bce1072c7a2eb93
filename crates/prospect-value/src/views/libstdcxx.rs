//! Types of libstdc++. Its headers (`bits/stl_vector.h` and so on) are the source of truth; the names below are theirs.

mod containers;
mod holders;
mod small;
mod strings;

pub(super) use containers::{adaptor, bitset, chain, packed_bits, pair_parts};
pub(super) use holders::{alternative, owned, owned_elements};
pub(super) use small::{locked, pair, ticks, time_point};

use super::Named;

pub(super) const VIEWS: &[Named] = &[
    Named { stems: &["std::basic_string"], show: strings::string },
    Named { stems: &["std::basic_string_view"], show: strings::string_view },
    Named { stems: &["std::filesystem::path"], show: strings::path },
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
    Named { stems: &["std::initializer_list"], show: containers::initializer_list },
    Named { stems: &["std::shared_ptr", "std::weak_ptr", "std::__shared_ptr"], show: holders::shared },
    Named { stems: &["std::unique_ptr"], show: holders::unique },
    Named { stems: &["std::optional"], show: holders::optional },
    Named { stems: &["std::variant"], show: holders::variant },
    Named { stems: &["std::any"], show: holders::any },
    Named { stems: &["std::function"], show: holders::function },
    Named { stems: &["std::reference_wrapper"], show: holders::reference },
    Named { stems: &["std::atomic", "std::__atomic_base"], show: small::atomic },
    Named { stems: &["std::pair"], show: pair },
    Named { stems: &["std::tuple"], show: small::tuple },
    Named { stems: &["std::complex"], show: small::complex },
    Named { stems: &["std::chrono::duration"], show: small::duration },
    Named { stems: &["std::chrono::time_point"], show: time_point },
    Named { stems: &["std::thread::id"], show: small::thread_id },
    Named {
        stems: &["std::mutex", "std::recursive_mutex", "std::timed_mutex", "std::recursive_timed_mutex"],
        show: small::mutex,
    },
];
