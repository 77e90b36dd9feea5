# A Rails application of one file with the stock Action Cable on Redis: what the sandbox's cable is held against.
# RoomChannel does what OneHash Chat's does, without its database: any 24 hexadecimal digits are a good token.

require "action_controller/railtie"
require "action_cable/engine"
require "action_cable/subscription_adapter/redis"

class Room < Rails::Application
  config.root = __dir__
  config.eager_load = false
  config.secret_key_base = "only for tests"
  config.logger = Logger.new($stderr, level: Logger::FATAL)
  config.action_cable.disable_request_forgery_protection = true
  config.action_cable.cable = { adapter: "redis", url: ENV.fetch("REDIS_URL") }

  routes.append do
    post "/broadcast", to: ->(env) {
      said = JSON.parse(env["rack.input"].read)
      ActionCable.server.broadcast(said["stream"], said["message"])
      [200, {}, []]
    }
    # What a reload of the code does to every socket.
    post "/restart", to: ->(_) { [200, {}, [ActionCable.server.restart.to_s]] }
  end
end

# With redis-rb 5, OneHash Chat's, a listener that loses Redis ends quietly and leaves the process deaf; with Debian's redis-rb 4 the
# exception would end Puma. All else of that state is the stock server's own.
ActionCable::SubscriptionAdapter::Redis::Listener.prepend(Module.new do
  def listen(connection)
    super
  rescue Redis::BaseConnectionError
    nil
  end
end)

module ApplicationCable
  class Connection < ActionCable::Connection::Base
    def connect
      reject_unauthorized_connection if request.params[:unauthorized]
    end
  end
end

class RoomChannel < ActionCable::Channel::Base
  def subscribed
    raise ArgumentError, "no such token" unless /\A\h{24}\z/.match?(params[:pubsub_token])
    stream_from params[:pubsub_token]
  end

  def update_presence
    ActionCable.server.broadcast(params[:pubsub_token], { event: "presence.update", data: { account_id: 1, users: {} } })
  end
end

class RejectingChannel < ActionCable::Channel::Base
  def subscribed
    reject
  end
end

Rails.application.initialize!
run Rails.application
