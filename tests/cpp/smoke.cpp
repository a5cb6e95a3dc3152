// The header compiles, links and works from C++17, with ownership in unique_ptr and the log in a lambda.

#include <spanspool.h>

#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

static_assert(std::is_enum_v<spanspool_status> && sizeof(spanspool_status) == sizeof(int32_t));

using Config = std::unique_ptr<spanspool_config, decltype(&spanspool_config_free)>;
using Spool = std::unique_ptr<spanspool_client, decltype(&spanspool_free)>;

static int fail(std::string_view what, spanspool_status status, const std::string& why = "") {
    std::cerr << what << ": " << spanspool_status_str(status) << ' ' << why << '\n';
    return 1;
}

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    std::string why(256, '\0');
    Config config(spanspool_config_new(), spanspool_config_free);
    for (auto [key, value] : {std::pair{"spool_dir", argv[1]}, std::pair{"endpoint", argv[2]}}) {
        auto status = spanspool_config_set(config.get(), key, value, why.data(), why.size());
        if (status != SPANSPOOL_OK) return fail(key, status, why);
    }
    auto log = [](int32_t level, const char* message, void*) {
        if (level == SPANSPOOL_LOG_ERROR) std::cerr << message << '\n';
    };
    if (auto status = spanspool_config_set_log(config.get(), log, nullptr)) return fail("set_log", status);
    spanspool_client* opened = nullptr;
    if (auto status = spanspool_init(config.get(), &opened, why.data(), why.size())) return fail("init", status, why);
    Spool spool(opened, spanspool_free);

    const std::string_view item = R"({"object":"trace","id":"trace_cpp"})";
    if (auto status = spanspool_enqueue(spool.get(), item.data(), item.size())) return fail("enqueue", status);
    if (auto status = spanspool_flush(spool.get(), 20000)) return fail("flush", status);
    spanspool_stats stats{};
    if (auto status = spanspool_get_stats(spool.get(), &stats, sizeof stats)) return fail("get_stats", status);
    if (stats.delivered != 1) return fail("delivered", SPANSPOOL_OK, std::to_string(stats.delivered));
    if (auto status = spanspool_shutdown(spool.get(), 20000)) return fail("shutdown", status);
    return 0;
}
