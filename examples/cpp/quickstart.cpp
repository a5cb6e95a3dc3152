#include <spanspool.hpp>

#include <chrono>
#include <iostream>

int main(int argc, char** argv) {
    if (argc != 3) return std::cerr << "usage: quickstart SPOOL_DIR ENDPOINT\n", 2;
    try {
        spanspool::config config;
        config.set("spool_dir", argv[1]).set("endpoint", argv[2]);
        config.set_log([](spanspool::log_level level, std::string_view line) {
            if (level == spanspool::log_level::error) std::cerr << line << '\n';
        });
        spanspool::client client(config);

        client.enqueue(R"({"object":"trace","id":"trace_0123456789abcdef0123456789abcdef",)"
                       R"("workflow_name":"quickstart","group_id":null,"metadata":null})");
        client.shutdown(std::chrono::seconds(5));  // what is not delivered by then stays in the spool
    } catch (const spanspool::error& error) {
        return std::cerr << error.what() << '\n', 1;
    }
}
