// The lesson's store in Java: lines, or HTTP with JSON. The file `style` beside the class says what
// it answers; the data are lines in a file of its own folder.
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.*;
import java.net.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;

public class Store {
    static final Map<String, String> style = new HashMap<>(), options = new HashMap<>();
    static final Map<String, String> data = new HashMap<>();
    static BufferedWriter file;

    static String filled(String name, String key, String value) {
        return style.getOrDefault(name, "").replace("{k}", key).replace("{v}", value)
            .replace("{n}", "7").replace("{leader}", options.getOrDefault("leader", ""));
    }

    static void apply(String line, boolean keep) throws IOException {
        int tab = line.indexOf('\t');
        if (tab < 0) data.remove(line);
        else data.put(line.substring(0, tab), line.substring(tab + 1));
        if (keep && "yes".equals(style.get("keeps"))) {
            file.write(line + "\n");
            file.flush();
        }
    }

    static boolean follows() {
        return "follower".equals(options.get("role"));
    }

    static synchronized String answer(String request) throws IOException {
        String[] words = request.split(" ", 3);
        String verb = words[0].toLowerCase(), key = words.length > 1 ? words[1] : "";
        boolean known = data.containsKey(key);
        switch (verb) {
            case "put":
                if (follows()) return filled("refusal", key, "");
                if (words.length < 3) return "ERR usage: put KEY VALUE";
                apply(key + "\t" + words[2], true);
                return filled("put", key, words[2]);
            case "get":
                return filled(known ? "get" : "missing", key, data.getOrDefault(key, ""));
            case "delete":
                if (follows()) return filled("refusal", key, "");
                if (known) apply(key, true);
                return filled(known ? "delete" : "absent", key, "");
            default:
                return "ERR unknown command";
        }
    }

    static synchronized void http(HttpExchange exchange) throws IOException {
        String key = exchange.getRequestURI().getPath().substring("/kv/".length());
        String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
        String method = exchange.getRequestMethod();
        boolean known = data.containsKey(key);
        if (!method.equals("GET") && follows()) {
            send(exchange, 403, "{\"error\":\"read-only\",\"leader\":\"" + options.get("leader") + "\"}");
        } else if (method.equals("PUT")) {
            apply(key + "\t" + body, true);
            send(exchange, 200, "{\"ok\":true}");
        } else if (!known) {
            send(exchange, 404, "{\"error\":\"no such key\"}");
        } else if (method.equals("DELETE")) {
            apply(key, true);
            send(exchange, 200, "{\"ok\":true}");
        } else {
            send(exchange, 200, "{\"key\":\"" + key + "\",\"value\":\"" + data.get(key) + "\"}");
        }
    }

    static void send(HttpExchange exchange, int status, String body) throws IOException {
        byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
        exchange.sendResponseHeaders(status, bytes.length);
        exchange.getResponseBody().write(bytes);
        exchange.close();
    }

    static void serve(Socket client) {
        try (client) {
            var in = new BufferedReader(
                new InputStreamReader(client.getInputStream(), StandardCharsets.UTF_8));
            OutputStream out = client.getOutputStream();
            for (String line; (line = in.readLine()) != null;)
                out.write((answer(line) + "\n").getBytes(StandardCharsets.UTF_8));
        } catch (IOException gone) {
            // The client disconnected.
        }
    }

    public static void main(String[] arguments) throws Exception {
        for (int i = 0; i < arguments.length; i++) {
            String[] parts = arguments[i].split("=", 2);
            options.put(parts[0].substring(2), parts.length > 1 ? parts[1] : arguments[++i]);
        }
        Path here = Path.of(Store.class.getProtectionDomain().getCodeSource().getLocation().toURI());
        for (String line : Files.readAllLines(here.resolve("style")))
            style.put(line.split(" ", 2)[0], line.split(" ", 2)[1]);
        Path path = Path.of(options.getOrDefault("data-dir", "."), "data");
        if ("yes".equals(style.get("keeps")) && Files.exists(path))
            for (String line : Files.readAllLines(path)) apply(line, false);
        file = new BufferedWriter(new FileWriter(path.toFile(), true));
        int port = Integer.parseInt(options.get("port"));
        if ("yes".equals(style.get("handler")))
            Runtime.getRuntime().addShutdownHook(new Thread(() -> Runtime.getRuntime().halt(0)));
        System.out.println("[node] starting as " + (follows() ? "FOLLOWER" : "LEADER") + " on port " + port);
        if ("http".equals(style.get("protocol"))) {
            HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 16);
            server.createContext("/kv/", Store::http);
            server.start();
            return;
        }
        ServerSocket server = new ServerSocket(port, 16, InetAddress.getLoopbackAddress());
        for (;;) {
            Socket client = server.accept();
            new Thread(() -> serve(client)).start();
        }
    }
}
