// Much code from little text: what the standard library makes of templates, with deep inlining.
#include <algorithm>
#include <cstdio>
#include <deque>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

namespace {

template <int N> struct Node {
    std::variant<int, double, std::string, std::shared_ptr<Node<N>>> value;
    std::map<std::string, std::vector<long>> index;
};

template <int N> long walk(Node<N> &node, const std::function<long(long)> &f) {
    long sum = std::visit(
        [](auto &one) -> long {
            using T = std::decay_t<decltype(one)>;
            if constexpr (std::is_same_v<T, std::string>) return one.size();
            else if constexpr (std::is_arithmetic_v<T>) return long(one);
            else return one ? N : 0;
        },
        node.value);
    for (auto &[name, values] : node.index) {
        std::sort(values.begin(), values.end(), [](long a, long b) { return a % (N + 2) < b % (N + 2); });
        sum += std::accumulate(values.begin(), values.end(), long(name.size()));
    }
    return f(sum);
}

template <int N> long unit(int seed) {
    Node<N> node;
    node.value = seed % 2 ? decltype(node.value){double(seed)} : decltype(node.value){std::to_string(seed)};
    for (int i = 0; i < seed + N; i++) node.index[std::to_string(i % 5)].push_back(i * N);
    std::unordered_map<long, std::string> names;
    std::set<std::tuple<int, long, std::string>> seen;
    std::deque<std::optional<std::string>> queue;
    for (int i = 0; i < N; i++) {
        names[i] = std::to_string(i * seed);
        seen.emplace(i, i * N, names[i]);
        queue.push_back(i % 2 ? std::optional<std::string>(names[i]) : std::nullopt);
    }
    std::regex word("([a-z]+)([0-9]{1,3})(x|y|z)*");
    std::smatch match;
    std::string text = "abc" + std::to_string(seed);
    std::ostringstream out;
    if (std::regex_search(text, match, word)) out << match[1] << seen.size() << queue.size();
    long base = out.str().size();
    return walk<N>(node, [base](long x) { return x + base; });
}

long all(int seed) {
    long sum = 0;
    [&]<int... N>(std::integer_sequence<int, N...>) { ((sum += unit<N>(seed)), ...); }
    (std::make_integer_sequence<int, 12>());
    return sum;
}

} // namespace

int main(int argc, char **) {
    long sum = 0;
    std::thread worker([&] { sum = all(argc); });
    worker.join();
    std::printf("%ld\n", sum);
    return 0;
}
